from roomviz.runtime.process import run
from services.catalog.app import catalog
from services.catalog.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    run("catalog", settings, settings.metrics_port, catalog)
