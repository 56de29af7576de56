"""carousel doctor"""


def doctor() -> None:
    """Say what is installed, what is missing, and why.

    Example:

    ```
    carousel doctor
    ```
    """
    import os
    import platform
    import sys
    from importlib.metadata import PackageNotFoundError, version

    import torch

    print(f"python       {platform.python_version()} ({sys.executable})")
    print(f"system       {platform.platform()}, {os.cpu_count()} processors")
    for name in ("carousel-rnn", "torch", "numpy", "safetensors", "cyclopts", "rich", "matplotlib"):
        try:
            print(f"{name:<12} {version(name)}")
        except PackageNotFoundError:
            print(f"{name:<12} missing: pip install {name}")
    print(f"threads      {torch.get_num_threads()}")
    print(
        f"cuda         {torch.cuda.get_device_name() if torch.cuda.is_available() else 'no device that torch can use'}"
    )
