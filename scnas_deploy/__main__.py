"""``python -m scnas_deploy``: the scnas command, as torchrun starts it."""

from scnas_deploy.cli.main import run

if __name__ == "__main__":
    run()
