"""Files as wholes: written all or none, swept up after a kill, named safely; and JSON judged before it is believed."""
