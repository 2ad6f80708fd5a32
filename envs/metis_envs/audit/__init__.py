"""What gives tasks away without looking: probes with ceilings, for every family, one's own included.

`metis-gym audit TASKSET` makes all of them; docs/tasks.md explains them and shows what they find in the built-in
families.
"""

from metis_envs.audit.auditing import audit
from metis_envs.audit.probes import PROBES
from metis_envs.audit.results import NotProbed, ProbeResult, Report, Share, Verdict

__all__ = ["PROBES", "NotProbed", "ProbeResult", "Report", "Share", "Verdict", "audit"]
