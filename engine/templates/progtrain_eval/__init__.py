"""What 03_eval.py works with. It is the user's as that file is; each part is a module that can be read alone."""
