"""Makes the embedded default cohort: data/raw/phantom."""

from brats_cascade.stages.phantom import phantom
from brats_cascade.stages.script import run

if __name__ == "__main__":
    run(phantom)
