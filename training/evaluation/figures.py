"""What all plots of the pages share: plotly, colours, the look, and their HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedp.device_runtime.errors import MissingDependencyError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BEFORE_GUARD = "#d98a00"
AFTER_GUARD = "#2f7ed8"
HURT = "#d6336c"
UNCHANGED = "#868e96"


def plotly_objects() -> Any:
    """Imports plotly's figures.

    Raises:
        MissingDependencyError: plotly is not installed.
    """
    try:
        import plotly.graph_objects as objects
    except ImportError as error:
        raise MissingDependencyError(
            "the report needs plotly, which is not installed: pip install plotly"
        ) from error
    return objects


def add_diagonal(figure: Figure, low: float = 0, high: float = 1) -> None:
    """The dotted line on which nothing has changed."""
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        line={"color": UNCHANGED, "dash": "dot", "width": 1},
        hoverinfo="skip",
        showlegend=False,
    )


def styled(figure: Figure, height: int) -> Figure:
    """Transparent, so that the page's light or dark ground shows; fonts are its own."""
    figure.update_layout(
        height=height,
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        margin={"l": 64, "r": 16, "t": 48, "b": 72},
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        # Of one colour: on those of the dots no text could be read everywhere.
        hoverlabel={
            "align": "left",
            "bgcolor": "#24292f",
            "bordercolor": "#868e96",
            "font": {"color": "#ffffff"},
        },
        bargap=0.25,
    )
    figure.update_xaxes(automargin=True, title_standoff=10)
    figure.update_yaxes(automargin=True, title_standoff=10)
    return figure


def plot(figure: Figure, name: str) -> str:
    """A figure as HTML that the page's own script draws."""
    return str(
        figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=name,
            config={
                "responsive": True,
                "displaylogo": False,
                "displayModeBar": False,
                "showTips": False,  # They float outside of everything, in grey.
            },
        )
    )
