from roomviz.runtime.process import run
from services.gateway.app import gateway
from services.gateway.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    run("gateway", settings, settings.metrics_port, gateway)
