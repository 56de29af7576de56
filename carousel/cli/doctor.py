"""carousel doctor"""


def doctor() -> None:
    """Say what is installed, what is missing, and why.

    For example:

    ```
    carousel doctor
    ```
    """
    import os
    import platform
    import sys
    from importlib.metadata import PackageNotFoundError, version

    import torch

    from carousel import engines
    from carousel.engines import native
    from carousel.layers import LSTM

    print(f"python       {platform.python_version()} ({sys.executable})")
    print(f"system       {platform.platform()}, {os.cpu_count()} processors")
    for name in ("carousel-rnn", "torch", "numpy", "safetensors", "cyclopts", "rich", "matplotlib"):
        try:
            print(f"{name:<12} {version(name)}")
        except PackageNotFoundError:
            print(f"{name:<12} missing: pip install {name}")
    print(f"threads      {torch.get_num_threads()}")
    cuda = torch.cuda.is_available()
    print(f"cuda         {torch.cuda.get_device_name() if cuda else 'no device that torch can use'}")
    program = LSTM(1, 1).program
    for device in ("cpu", "cuda") if cuda else ("cpu",):
        for name, engine in engines.ENGINES.items():
            reason = engine.why_not(program, torch.float32, torch.device(device))
            print(f"{device} engine   {name}: {'ready' if reason is None else f'not ready, {reason}'}")
    for what, value in native.status().items():
        print(f"{what}: {value}")
