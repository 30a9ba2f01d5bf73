from features.builder import available, build_features
from features.catalogue import ALL
from features.instants import read_instant
from features.profile import Profile


def test_every_feature_is_built_on_a_full_profile(simulated: Profile) -> None:
    found = available(simulated, ALL)
    assert not found.absent
    assert build_features(simulated, ALL, [read_instant("2024-06-01")]).num_rows > 0
