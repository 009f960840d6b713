from roomviz.runtime.process import run
from services.segmentation.app import segmentation
from services.segmentation.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    run("segmentation", settings, settings.metrics_port, segmentation)
