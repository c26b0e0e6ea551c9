# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows a table, writes it as JSON on the controller, and fails unless every row is a success."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Optional

from ansible.plugins.action import ActionBase
from ansible_collections.edgeai.fleet.plugins.plugin_utils.picture import picture
from ansible_collections.edgeai.fleet.plugins.plugin_utils.text import table


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs on the controller alone; no device is asked."""

    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "title": {"type": "str", "required": True},
                "rows": {"type": "list", "elements": "dict", "required": True},
                "columns": {"type": "list", "elements": "str", "required": True},
                "success": {"type": "list", "elements": "str", "default": ["confirmed"]},
                "path": {"type": "path"},
            }
        )
        rows: List[Dict[str, Any]] = arguments["rows"]
        bad = [row for row in rows if row.get("verdict") not in arguments["success"]]
        text = table(rows, arguments["columns"])
        if arguments["path"] and not self._task.check_mode:
            path = Path(arguments["path"]).expanduser().absolute()
            content = {
                "schema": 1,
                "title": arguments["title"],
                "ok": bool(rows) and not bad,
                "devices": rows,
            }
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
                for row in rows:
                    candidates = (row.get("details") or {}).get("table") or ()
                    if len(candidates) > 1:  # there was something to choose from
                        drawn = picture(f"{arguments['title']} on {row['device']}", candidates)
                        path.with_name(f"{path.stem}-{row['device']}.svg").write_text(drawn, encoding="utf-8")
            except OSError as error:
                said = f"{path}: the report cannot be written ({error.strerror}); choose another report_dir."
                return {**result, "failed": True, "msg": f"{text}\n\n{said}"}
            result["path"] = str(path)
        counts = Counter(str(row.get("verdict")) for row in rows)
        said = ", ".join(f"{n} {verdict}" for verdict, n in counts.most_common()) or "no device was meant"
        msg = f"{text}\n\n{arguments['title']}: {said}."
        return {**result, "failed": bool(bad) or not rows, "changed": False, "msg": msg}
