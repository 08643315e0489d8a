#!/usr/bin/env bash
# A real SLURM cluster of one node, on loopback, with everything it writes in one folder.
#
#   slurm_single_node.sh install     slurm-wlm and munge from Debian or Ubuntu (root)
#   slurm_single_node.sh start       afterwards sbatch, squeue ... talk to it; once more: does nothing
#   slurm_single_node.sh stop        ends it and deletes its folder
#
# Two fake GPUs. Jobs of the partitions gpu (which warns them) and preemptible (which does not) make room for those of
# urgent. No accounting, no cgroups, no systemd; of /etc only one link, which stop removes. PIGAN_SLURM names the folder.
# Run by root, since it makes devices.
set -euo pipefail

place="${PIGAN_SLURM:-/tmp/pigan-slurm}"
export SLURM_CONF="$place/slurm.conf"
# inside of jobs, where nobody sets SLURM_CONF, srun finds the configuration here
link=/etc/slurm/slurm.conf
export PATH="$PATH:/usr/sbin:/sbin"

installed() {
    local tool
    for tool in munged slurmctld slurmd sbatch; do
        command -v "$tool" > /dev/null || return 1
    done
}

as_root() { [ "$(id -u)" = 0 ] || { echo "slurm: run this as root" >&2; exit 1; }; }

install() {
    ! installed || return 0
    as_root
    command -v apt-get > /dev/null || { echo "slurm: apt-get is not here; install slurmctld, slurmd, munged" >&2; exit 1; }
    # without services that start by themselves
    local rule=/usr/sbin/policy-rc.d
    if [ ! -e "$rule" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$rule"
        chmod +x "$rule"
        trap "rm -f $rule" EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends slurm-wlm munge > /dev/null
}

configure() {
    local host
    host=$(hostname -s)
    mkdir -p "$place"/{state,spool,log}
    chmod 755 "$place"
    # the file of a gres is a character device, or the job's CUDA_VISIBLE_DEVICES stays empty
    for gpu in 0 1; do
        [ -e "$place/gpu$gpu" ] || mknod "$place/gpu$gpu" c 195 "$gpu"
    done
    [ -e "$place/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom > "$place/munge.key")
    cat > "$SLURM_CONF" << CONF
ClusterName=pigan
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
# cred_expire is also how long a requeued job waits before it starts again: 120 seconds by default, 5 at least
AuthInfo=socket=$place/munge.socket,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/log/slurmctld.log
SlurmdLogFile=$place/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=100000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=15
# longer than three times slurm-init-seconds-before-status-checks: the plugin asks squeue about jobs that have ended
MinJobAge=7200
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 Gres=gpu:fake:2 State=UNKNOWN
PartitionName=gpu Nodes=$host Default=YES MaxTime=1-00:00:00 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=preemptible Nodes=$host MaxTime=1-00:00:00 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
PartitionName=urgent Nodes=$host MaxTime=1:00:00 State=UP PriorityTier=10 PreemptMode=OFF
CONF
    echo "NodeName=$host Name=gpu Type=fake File=$place/gpu[0-1]" > "$place/gres.conf"
    echo "CgroupAutomount=no" > "$place/cgroup.conf"
}

alive() { [ -s "$place/$1.pid" ] && kill -0 "$(cat "$place/$1.pid" 2> /dev/null)" 2> /dev/null; }

start() {
    as_root
    installed || { echo "slurm: not installed; run $0 install" >&2; exit 1; }
    if [ -e "$link" ] && [ "$(readlink "$link")" != "$SLURM_CONF" ]; then
        echo "slurm: $link is there: this machine has a SLURM of its own" >&2
        exit 1
    fi
    if ! { alive munged && alive slurmctld && alive slurmd; }; then
        stop
        configure
        chown -R "$(id -u)" "$place"
        munged --force --key-file="$place/munge.key" --socket="$place/munge.socket" --pid-file="$place/munged.pid" \
            --log-file="$place/log/munged.log" --seed-file="$place/munge.seed" 2> "$place/log/munged.warnings"
        mkdir -p "$(dirname "$link")"
        ln -sf "$SLURM_CONF" "$link"
        slurmctld
        slurmd
    fi
    for _ in $(seq 60); do
        if [ "$(timeout 5 sinfo -h -p gpu -o %T 2> /dev/null)" = idle ]; then
            echo "slurm: up, $(sinfo -h -o %R | tr '\n' ' ')"
            return
        fi
        sleep 0.5
    done
    echo "slurm: the node does not come up; see $place/log" >&2
    exit 1
}

stop() {
    for daemon in slurmd slurmctld munged; do
        if alive "$daemon"; then
            kill "$(cat "$place/$daemon.pid")" || true
            for _ in $(seq 40); do alive "$daemon" || break; sleep 0.25; done
            ! alive "$daemon" || kill -9 "$(cat "$place/$daemon.pid")" || true
        fi
    done
    [ "$(readlink "$link")" != "$SLURM_CONF" ] || rm -f "$link"
    rm -rf "$place"
}

case "${1:-}" in
    install | start | stop) "$1" ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
