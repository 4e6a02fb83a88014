"""How often drift detectors cry wolf, and how soon they tell of one.

`streams`     scores: drawn, changed, and from the shop
`detectors`   ours, River's, and two that look at nothing
`measures`    false alarms, delays, incidents
`command`     runs it, and prints tables
`answers`     scores and answers together, at several moments
"""
