"""`python -m stream.cli`: the command line where the console script is not on the PATH."""

from stream.cli import main

main(prog_name="lanjie")
