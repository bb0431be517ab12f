"""One file a verb, of the verb's name: `fedp.cli.group` finds whatever is here."""
