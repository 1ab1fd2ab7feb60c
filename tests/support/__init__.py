"""What the tests stand on: real databases, real servers, the real gateway, and people to act in them."""
