def test_service_imports() -> None:
    import serving.service  # noqa: F401
    import training.tracking  # noqa: F401
