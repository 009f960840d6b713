"""Catalog: the retailer's materials, their real sizes and their textures."""
