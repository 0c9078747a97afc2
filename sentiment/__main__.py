"""Command-line entry point: commands for tweets, runs and models.

The commands for grids and reports are defined in `jobs` and `report`.
"""

from sentiment.command_line import command_line
from sentiment.commands import add, data, evaluate, predict, share, train
from sentiment.files import import_program

app = command_line("Train sentiment classifiers on tweets, use them, and compare grids of them.")
app.add_typer(data.prepare_app, name="prepare")
for commands in (train, predict, data, evaluate, add, share):
    app.registered_commands += commands.app.registered_commands
for program in ("jobs", "report"):
    app.registered_commands += import_program(program).app.registered_commands

if __name__ == "__main__":
    app()
