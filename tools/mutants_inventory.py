"""What tools/mutate.py breaks in inventories, and in the readers of tables, lists and XML that they came with."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_INVENTORY = [
    *in_file(
        "files/csv_text.py",
        ("% 2 == 0]", "% 2 == 1]"),
        ('line += text.count(b"\\n")', "pass"),
        ("if opened >= 0 and text.count(b'\"', used) % 2:", "if opened >= 0:"),
    ),
    *in_file("files/json_items.py", ("name in names or", "")),
    *in_file("files/xml_text.py", ("self._depth -= 1", "pass")),
    *in_file(
        "plan/inventory/rules.py",
        ("column > spec.most", "column >= spec.most"),
        ("again = np.delete(rows, first)", "again = rows[first]"),
        ("np.isfinite(of_vm) & (of_vm > 0)", "np.isfinite(of_vm)"),
        ('kind="stable"', 'kind="quicksort"'),
        ("(ratio > 1)", "(ratio > 2)"),
    ),
    *in_file("plan/inventory/words.py", ('if "never existed" in told', "if False")),
    *in_file(
        "plan/inventory/typed.py",
        ("& (values != 0)", ""),
        ('if b"_" in told.tobytes():', "if False:"),
    ),
    *in_file(
        "plan/inventory/codes.py",
        ("among.tolist()[::-1], range(len(among) - 1, -1, -1)", "among.tolist(), range(len(among))"),
    ),
    *in_file(
        "plan/inventory/kubectl.py",
        ("math.prod(max(count, 1)", "math.prod(max(count, 2)"),
        ("if passed and not told:", "if passed:"),
        ('!= "True" else', '== "False" else'),
    ),
    *in_file(
        "plan/inventory/libvirt.py",
        ('stats.get("calc_status") == _MEASURED and', ""),
        ('vcpu.get("current") or vcpu.text', "vcpu.text"),
    ),
    *in_file("plan/inventory/proxmox.py", ('and not part["template"].is_true()', "")),
    *in_file("plan/inventory/openstack.py", ("by_id or sizes.get", "sizes.get")),
    *in_file(
        "plan/inventory/like.py",
        ("room[host] < memory):", "room[host] <= memory):"),
        ("(free + vcpus, host)", "(free + 1, host)"),
    ),
    *in_file(
        "plan/inventory/profiled.py",
        ("own or found", "found or own"),
        ("one.stable in (None, other.stable)", "True"),
        ("Path(hosts.folder, text)", "Path(text)"),
    ),
    *in_file(
        "migrate/compat/probed.py",
        ('"" if takes_any_value(int(reg, 16)) else value', "value"),
        ("parts, sets]", "parts]"),
        ('len(content["cpu"]["kinds"]) > 1', "False"),
        ("values={}, refused=refused) if refused", "values={}) if refused"),
    ),
    *in_file("migrate/compat/side.py", ("self.name == other.name and not self.is_host", "self.name == other.name")),
    *in_file("probing/profile.py", ('len(self.content["cpu"]["kinds"]) > 1', "False")),
    *in_file(
        "plan/ways.py",
        ("not (source.probed and dest.probed)", "True"),
        ('dest.mode in ("", "nested")', "True"),
    ),
    *in_file("plan/inventory/schema.py", ("Field(ge=1, le=spec.most)", "Field(ge=0, le=spec.most)")),
]
