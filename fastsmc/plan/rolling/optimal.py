"""One pool's upgrade by CP-SAT, the constraint solver of OR-Tools: as good as the best order that was found, or better.

Where each VM is after each wave is a choice; what a wave may do is the same as in `kernels.rolling`. Where no VM stops
in the plan that is known, the solver is asked for one with a wave fewer, or whether there is none. Where VMs stop, it
begins with that plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastsmc.errors import InputError
from fastsmc.plan.kernels.rolling import (
    APART,
    AT,
    GOES,
    KIND,
    MIB,
    NEEDS_MIB,
    NEEDS_VCPUS,
    NEW,
    PLACE,
    STOPS,
    TAKES,
    VCPUS,
)
from fastsmc.plan.rolling.search import Found, Pool, room_of

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, CpSolver

MOST_HOSTS = 50
"""Hosts of a pool that is given to the solver; what is larger stays as it was found."""
MORE_WAVES = 4
"""Waves that the solver may use beyond those of the known plan, where VMs stop: more waves may stop fewer."""
SECONDS = 60.0
"""How long the solver may take for a pool."""


def optimal(pool: Pool, known: Found, at_once: int, *, seconds: float = SECONDS) -> Found:
    """The pool's upgrade with fewest VMs stopped, then fewest waves, as far as the solver gets in its time.

    A pool stays as it was found where that is proven, where it has too many hosts, where one has more in use than it
    has, or where a VM's history narrows where it may go.

    Raises:
        InputError: OR-Tools is not installed.
    """
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        msg = "method 'optimal' needs OR-Tools: pip install 'fastsmc[optimal]'; method 'greedy' needs nothing"
        raise InputError(msg) from error
    is_narrowed = (pool.then != np.arange(len(pool.then))[:, None])[pool.may].any()
    is_over = (pool.hosts[:, [VCPUS, MIB]] < 0).any()
    if known.is_proven or len(pool.hosts) > MOST_HOSTS or is_narrowed or is_over:
        return known
    model = _Model(pool, known, at_once, cp_model.CpModel())
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = 2
    status = solver.solve(model.model)
    if status == cp_model.INFEASIBLE and known.cost[0] == 0:
        return known._replace(is_proven=True)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return known
    found = model.told(solver)
    has_all_waves = found.cost[0] == 0 or model.n_wave == len(pool.due)
    found = found._replace(is_proven=status == cp_model.OPTIMAL and has_all_waves)
    return found if found.cost[:2] < known.cost[:2] else known._replace(is_proven=found.is_proven)


class _Model:
    """Choices and rules.

    Attributes:
        turn: whether a host is in a wave. place: whether a VM is on a host after a wave. stops: whether a VM stops.
    """

    def __init__(self, pool: Pool, known: Found, at_once: int, model: CpModel) -> None:
        self.pool, self.known, self.at_once, self.model = pool, known, at_once, model
        n_stop, n_wave, _ = known.cost
        self.n_wave = min(n_wave + MORE_WAVES, len(pool.due)) if n_stop else n_wave - 1
        self.n_host = len(pool.hosts)
        self.goers = np.flatnonzero(pool.vms[:, GOES] == 1).tolist()
        self.due = set(pool.due.tolist())
        waves, hosts = range(self.n_wave), range(self.n_host)
        yes = model.new_bool_var
        self.turn: Any = [[yes("") if h in self.due else 0 for h in hosts] for _ in waves]
        self.place: Any = {vm: [[yes("") for _ in hosts] for _ in waves] for vm in self.goers}
        self.stops: Any = {vm: yes("") if n_stop else 0 for vm in self.goers}
        self.used: Any = [yes("") for _ in waves]
        self._waves()
        for vm in self.goers:
            self._moves(vm)
        self._room()
        if n_stop:
            self._hints()
        else:
            self._free()
        model.minimize((self.n_wave + 1) * sum(self.stops.values()) + sum(self.used))

    def _before(self, vm: int, wave: int, host: int) -> Any:
        """Whether a VM is on a host before a wave."""
        return self.place[vm][wave - 1][host] if wave else int(self.pool.vms[vm, AT] == host)

    def _waves(self) -> None:
        for host in self.due:
            self.model.add_exactly_one(self.turn[wave][host] for wave in range(self.n_wave))
        for wave in range(self.n_wave):
            self.model.add(sum(self.turn[wave]) <= self.at_once * self.used[wave])
            if wave:
                self.model.add_implication(self.used[wave], self.used[wave - 1])

    def _moves(self, vm: int) -> None:
        """A VM moves only off a host of the wave, to one that is not in it and where it restores; or it stops."""
        kind, add = self.pool.vms[vm, KIND], self.model.add
        for wave in range(self.n_wave):
            self.model.add_exactly_one(self.place[vm][wave])
            for host in range(self.n_host):
                now, was = self.place[vm][wave][host], self._before(vm, wave, host)
                turn, row = self.turn[wave][host], self.pool.hosts[host]
                add(now >= was - turn)
                add(now + turn <= 1 + was)
                add(now + was + turn <= 2 + self.stops[vm])
                done = sum(self.turn[each][host] for each in range(wave)) if host in self.due else 0
                if not row[TAKES]:
                    add(now <= was)
                elif host not in self.due:
                    add(now <= was + int(self.pool.may[kind, row[PLACE]]))
                else:
                    add(
                        now
                        <= was
                        + int(self.pool.may[kind, row[NEW]]) * done
                        + int(self.pool.may[kind, row[PLACE]]) * (1 - done)
                    )

    def _room(self) -> None:
        vms, groups = self.pool.vms, dict[int, list[int]]()
        for vm in self.goers:
            if vms[vm, APART] >= 0:
                groups.setdefault(int(vms[vm, APART]), []).append(vm)
        for host in range(self.n_host):
            own = [vm for vm in self.goers if vms[vm, AT] == host]
            held = {int(vms[vm, APART]) for vm in np.flatnonzero((vms[:, AT] == host) & (vms[:, GOES] == 0)).tolist()}
            for wave in range(self.n_wave):
                for room, needs in ((VCPUS, NEEDS_VCPUS), (MIB, NEEDS_MIB)):
                    cap = int(self.pool.hosts[host, room] + vms[own, needs].sum())
                    self.model.add(sum(int(vms[vm, needs]) * self.place[vm][wave][host] for vm in self.goers) <= cap)
                for group, members in groups.items():
                    most = 0 if group in held else 1
                    self.model.add(sum(self.place[vm][wave][host] for vm in members) <= most)

    def _free(self) -> None:
        """What `fewest_waves` says of each wave; it follows from the rest where no VM stops, and shortens the search.

        What the VMs of earlier waves took along from hosts that take none is no longer free.
        """
        for room, needs in ((VCPUS, NEEDS_VCPUS), (MIB, NEEDS_MIB)):
            free, size, is_closed = room_of(self.pool, room, needs)
            for wave in range(self.n_wave):
                gone = sum(
                    int(size[host]) * self.turn[each][host]
                    for each in range(wave)
                    for host in self.due
                    if is_closed[host]
                )
                mine = sum(int(size[host]) * self.turn[wave][host] for host in self.due)
                self.model.add(mine + gone <= free)

    def _hints(self) -> None:
        """The plan that is known."""
        at = self.pool.vms[:, AT].copy()
        stops = set(self.known.moves[self.known.moves[:, 3] == STOPS, 1].tolist())
        for wave in range(self.n_wave):
            self.model.add_hint(self.used[wave], int(wave < self.known.cost[1]))
            for _, vm, _, host in self.known.moves[self.known.moves[:, 0] == wave].tolist():
                at[vm] = host if host != STOPS else at[vm]
            for host in range(self.n_host):
                if host in self.due:
                    self.model.add_hint(self.turn[wave][host], int(self.known.wave[host] == wave))
                for vm in self.goers:
                    self.model.add_hint(self.place[vm][wave][host], int(at[vm] == host))
        for vm in self.goers:
            self.model.add_hint(self.stops[vm], int(vm in stops))

    def told(self, solver: CpSolver) -> Found:
        """The plan that was found."""
        wave = np.full(self.n_host, -1, np.int64)
        for number in range(self.n_wave):
            for host in self.due:
                if solver.value(self.turn[number][host]):
                    wave[host] = number
        rows, at = list[tuple[int, int, int, int]](), self.pool.vms[:, AT].copy()
        for number in range(self.n_wave):
            for vm in self.goers:
                if wave[at[vm]] != number:
                    continue
                to = next(host for host in range(self.n_host) if solver.value(self.place[vm][number][host]))
                rows.append((number, vm, int(at[vm]), STOPS if to == at[vm] else to))
                at[vm] = to
        return Found(wave, np.array(rows, np.int64).reshape(-1, 4), False)
