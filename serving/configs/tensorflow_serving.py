"""What TensorFlow Serving reads, and how it is told to."""

from serving.configs import plan
from serving.store import config_files
from serving.store.config_files import Pinned


def texts(name: str, pinned: Pinned, base: str) -> dict[str, str]:
    """By file name; `base` is the folder of the models as the server sees it."""
    return {
        "models.config": config_files.tf_serving_models({name: pinned}, base),
        "batching.config": config_files.tf_serving_batching(),
        "monitoring.config": config_files.tf_serving_monitoring(plan.METRICS),
    }


def arguments(folder: str) -> list[str]:
    """With the files in that folder. Labels are read before the first version is loaded."""
    return [
        f"--model_config_file={folder}/models.config",
        "--model_config_file_poll_wait_seconds=5",
        "--allow_version_labels_for_unavailable_models=true",
        "--enable_batching=true",
        f"--batching_parameters_file={folder}/batching.config",
        f"--monitoring_config_file={folder}/monitoring.config",
    ]
