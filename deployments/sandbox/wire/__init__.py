"""What goes over the wire: JSON bodies, errors, dates and ids as Close writes them."""
