"""The tutorial, to the letter: its programs run, and what it shows is what they print."""
