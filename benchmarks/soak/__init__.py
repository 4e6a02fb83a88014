"""A predict worker under a steady load for a long time: is its memory flat, is anything lost?"""
