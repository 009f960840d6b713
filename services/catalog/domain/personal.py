"""What the catalogue keeps: nothing about a person."""

from roomviz.personal import Holdings, Objects, Table

HOLDINGS = Holdings(
    "catalog",
    (
        Table("products", "a tenant's catalogue: of products, not of persons", "until the tenant removes them"),
        Table("alembic_version", "the version of the schema", "always"),
    ),
    (
        Objects("textures/", "products' textures", "as long as the product"),
        Objects("cutouts/", "products' pictures", "as long as the product"),
    ),
)
