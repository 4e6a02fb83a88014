"""What features cost, beside River's windows and Faust's."""
