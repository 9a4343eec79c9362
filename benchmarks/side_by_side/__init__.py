"""The collector, other tools and a bare loop fetch the same slices from the same nginx, side by side in one run."""
