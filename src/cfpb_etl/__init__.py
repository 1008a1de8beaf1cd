"""Load CFPB's consumer complaints into a SQLite file, and verify what was loaded."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cfpb_etl.errors import CfpbEtlError
    from cfpb_etl.flow import aload_complaints, load_complaints
    from cfpb_etl.model.load_stats import LoadStats
    from cfpb_etl.publish.export import ExportStats, export_complaints
    from cfpb_etl.read.connection import connect
    from cfpb_etl.read.frames import read_complaints

__all__ = [
    "CfpbEtlError",
    "ExportStats",
    "LoadStats",
    "__version__",
    "aload_complaints",
    "connect",
    "export_complaints",
    "load_complaints",
    "read_complaints",
]

__version__ = "0.1.0"

_MODULES = {
    "CfpbEtlError": "errors",
    "ExportStats": "publish.export",
    "LoadStats": "model.load_stats",
    "connect": "read.connection",
    "export_complaints": "publish.export",
    "read_complaints": "read.frames",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - of any type
    """Return a public name. Its module is imported now, because Prefect takes two seconds.

    Raises:
        CfpbEtlError: If Prefect cannot be imported with the user's settings.
    """
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    if name in {"load_complaints", "aload_complaints"}:
        return getattr(_flow(), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__


def _flow() -> Any:  # noqa: ANN401 - a module
    from cfpb_etl.environment import check_certificate_file  # noqa: PLC0415
    from cfpb_etl.orchestration.prefect_server.setting_origins import named_faults  # noqa: PLC0415

    check_certificate_file()
    with named_faults():
        from cfpb_etl import flow  # noqa: PLC0415
    return flow
