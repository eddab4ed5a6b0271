"""What is there only for speed: the same results as plainer forms, chosen where they are used."""
