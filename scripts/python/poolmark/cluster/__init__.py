# SPDX-License-Identifier: Apache-2.0
"""One run on several hosts: what was asked, whether the hosts hold it, and the launchers that start it (mpirun, Slurm, Kubernetes)."""
