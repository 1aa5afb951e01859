"""Find out which events must be folded in order: those that share anything, directly or not.

In:    ``Named`` events with their rows, and the aliases that cards tell
Out:   ``named.unit``, one number for all that must keep their order; the customers of all units
State: read only
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from operators.money_units import join_money
from operators.units import Graph
from state.chains import rows_in
from state.index import Rows
from state.lane import LaneState

if TYPE_CHECKING:
    from operators.identify import Named


def unite(state: LaneState, named: Named, card_line: Rows, card_alias: Rows) -> None:
    """Two events are in one unit if anything that they read or write is shared.

    Through what they name, or through what the lane already knows; only inside a unit does order
    matter.
    """
    graph = Graph(
        {
            "visits": state.visits,
            "clients": state.clients,
            "customers": state.customers,
            "aliases": state.aliases,
            "payments": state.payments,
            "units": state.units,
        }
    )
    _join_visits(state, named, graph)
    _join_clients(state, named, graph)
    if len(state.aliases):
        _join_aliases(state, named, graph, card_line, card_alias)
    if len(state.payments):
        paying = graph.nodes("payments", named.payment)
        graph.join(paying, graph.nodes("clients", named.client))
        join_money(state, graph, named.visit, named.payment, named.money, named.sale)
    event: Rows = graph.nodes("visits", named.visit)
    for table, rows in (
        ("payments", named.payment),
        ("clients", named.client),
        ("customers", named.customer),
        ("aliases", named.alias),
    ):
        event = np.where(event >= 0, event, graph.nodes(table, rows))
    named.unit, named.met, named.met_unit = graph.components(event, "customers")


def _join_visits(state: LaneState, named: Named, graph: Graph) -> None:
    """A visit with its client, with the one it had before, and with that one's customer."""
    visit = graph.nodes("visits", named.visit)
    before = rows_in(state.visits.client, named.visit)
    graph.join(visit, graph.nodes("clients", named.client))
    graph.join(visit, graph.nodes("clients", before))
    _join_owner(state, before, graph)


def _join_clients(state: LaneState, named: Named, graph: Graph) -> None:
    """A client with its customer, and with the one who is named or may be found."""
    client = graph.nodes("clients", named.client)
    graph.join(client, graph.nodes("customers", named.customer))
    graph.join(client, graph.nodes("customers", named.fallback))
    _join_owner(state, named.client, graph)


def _join_owner(state: LaneState, clients: Rows, graph: Graph) -> None:
    owner = rows_in(state.clients.customer, clients)
    graph.join(graph.nodes("clients", clients), graph.nodes("customers", owner))


def _join_aliases(
    state: LaneState, named: Named, graph: Graph, card_line: Rows, card_alias: Rows
) -> None:
    """An alias with whom it points to, with whoever is named beside it, and with its cards."""
    alias = graph.nodes("aliases", named.alias)
    graph.join(alias, graph.nodes("customers", named.customer))
    graph.join(alias, graph.nodes("customers", named.fallback))
    graph.join(graph.nodes("aliases", card_alias), graph.nodes("clients", named.client[card_line]))
    told = np.concatenate([named.alias[named.alias >= 0], card_alias])
    owner = state.aliases.customer[told]
    graph.join(graph.nodes("aliases", told), graph.nodes("customers", owner))
