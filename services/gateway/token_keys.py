"""Make a key that signs access tokens from now on.

python -m services.gateway.token_keys .local/secrets/token_keys
"""

import argparse
from pathlib import Path

from services.gateway.adapters.tokens import make_key

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    print(make_key(parser.parse_args().folder))
