"""The shop: will this session's user buy within 30 minutes?"""
