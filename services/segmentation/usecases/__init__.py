"""The steps of each job and call: these wait, and do not compute."""
