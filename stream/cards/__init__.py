"""What no single SIM card tells: counted beside the workers, told to them on their own topic."""
