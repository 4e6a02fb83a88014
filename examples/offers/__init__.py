"""Offers of a shop: which one to show to whom?"""
