"""An example of a package that extends metis-gym: one of each kind, one file each."""
