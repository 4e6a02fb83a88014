"""What the learn role consists of: learners, and how they get to those who serve them."""
