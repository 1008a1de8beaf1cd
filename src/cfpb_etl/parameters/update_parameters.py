"""What a user can ask for in a scheduled update with exports."""

from dataclasses import dataclass
from pathlib import Path

from cfpb_etl.errors import WrongParameterError
from cfpb_etl.parameters.checks import as_texts, picture_path
from cfpb_etl.parameters.load_parameters import COMPLAINTS, LoadParameters
from cfpb_etl.parameters.types import BlockName, Database, Picture, Targets


@dataclass(frozen=True, kw_only=True)
class UpdateParameters:
    """The parameters of a scheduled update with exports.

    Attributes:
        database: The SQLite file to update, and to export afterwards.
        export: Where to export to: files, folders, or env:NAME or secret:BLOCK with the address of
            a PostgreSQL database. One or more.
        graph: Where to draw the diagram of the update and its exports: .svg, .png, or none.
        load_graph: Where to draw the diagram of the load: .svg, .png, or none.
        notify: Prefect notification block that gets a message if the load or an export fails.

    Raises:
        WrongParameterError: If a value is not valid.
    """

    database: Database = COMPLAINTS
    export: Targets = ()
    graph: Picture = Path("update-and-export.svg")
    load_graph: Picture = Path("daily-update.svg")
    notify: BlockName = None

    def __post_init__(self) -> None:
        """Check each value, and give lists one type."""
        from cfpb_etl.parameters.validation import checked_fields

        for name, value in checked_fields(self):
            object.__setattr__(self, name, value)
        if self.graph is not None:
            try:
                picture_path(self.graph)
            except ValueError as error:
                raise WrongParameterError(parameter="graph", reason=str(error)) from None
        self.load.to_source()

    @property
    def load(self) -> LoadParameters:
        """Return the parameters of the load."""
        return LoadParameters(update=True, database=self.database, graph=self.load_graph)

    @property
    def picture(self) -> Path | None:
        """Return the path of the diagram; None if no diagram is wanted."""
        return None if self.graph is None else Path(self.graph)

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the targets of the exports, each once."""
        return tuple(dict.fromkeys(as_texts(self.export)))
