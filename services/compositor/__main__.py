from roomviz.runtime.process import run
from services.compositor.app import compositor
from services.compositor.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    run("compositor", settings, settings.metrics_port, compositor)
