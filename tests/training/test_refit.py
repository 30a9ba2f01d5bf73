"""The fit to everything known: families of histories alone are given what the engine counted, no row a customer."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from features.profile import Profile
from models.clv.btyd import ClvBgNbd
from models.families import FAMILIES
from training.clv import ClvJob
from training.config import TrainConfig
from training.fit import fit
from training.rows.past import rows_before

SETTINGS = TrainConfig(horizon_days=90)


def learned(job: ClvJob, name: str, profile: Profile, *, counted: bool) -> tuple[ClvBgNbd, Any]:
    """A family fitted to everything known, from counts or from rows."""
    family = FAMILIES[name]
    prepared = job.prepare_refit(family, SETTINGS, profile)
    if not counted:
        made = job.prepare(SETTINGS, profile, family.feature_set, profile.known_until, evaluate=False)
        prepared = replace(job.prepare_past(SETTINGS, profile, made), counted=None)
    model = job.learn(family, SETTINGS, prepared)
    assert isinstance(model, ClvBgNbd)
    return model, prepared


@pytest.mark.parametrize("name", ["clv_bgnbd", "clv_mbgnbd", "clv_pareto_nbd"])
def test_the_fit_to_counts_is_the_fit_to_rows(cdnow_sample: Profile, name: str) -> None:
    job = ClvJob()
    (model, prepared), (of_rows, with_rows) = (
        learned(job, name, cdnow_sample, counted=counted) for counted in (True, False)
    )
    assert "train" not in prepared.splits
    assert len(prepared.counted) < prepared.customers == with_rows.customers == 2_357
    assert model.fitted_parameters() == pytest.approx(of_rows.fitted_parameters(), rel=1e-9)
    assert model.average_ == pytest.approx(of_rows.average_, rel=1e-9)
    assert model.drift_.state() == pytest.approx(of_rows.drift_.state(), rel=1e-9)
    assert model.warnings_ == of_rows.warnings_
    scores = (job.reference_scores(m, p) for m, p in ((model, prepared), (of_rows, with_rows)))
    reference, expected = (np.sort(np.asarray(each)) for each in scores)
    np.testing.assert_allclose(reference, expected, rtol=1e-9)


def test_a_family_of_all_features_is_fitted_to_rows_once_more(cdnow_sample: Profile) -> None:
    prepared = ClvJob().prepare_refit(FAMILIES["clv_hybrid"], SETTINGS, cdnow_sample)
    assert prepared.counted is None
    assert prepared.customers == len(prepared.splits["train"].rows)


def test_a_run_ends_without_a_row_a_customer(cdnow_sample: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[datetime] = []

    def watched(profile: Profile, features: Any, times: Any, name: str) -> Any:
        read.extend(times)
        return rows_before(profile, features, times, name)

    monkeypatch.setattr("training.clv.rows_before", watched)
    (result,) = fit("clv", cdnow_sample, SETTINGS, "clv_bgnbd")
    assert result.final.contract.cutoff == cdnow_sample.known_until > max(read)
    assert result.final.contract.customers == 2_357
    model = result.final.model
    assert isinstance(model, ClvBgNbd)
    assert (
        model.fitted_parameters() == learned(ClvJob(), "clv_bgnbd", cdnow_sample, counted=True)[0].fitted_parameters()
    )
