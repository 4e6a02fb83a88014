"""Card payments: is this card being misused?"""
