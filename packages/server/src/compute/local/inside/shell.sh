# Read by a warm bash as its BASH_ENV: bash waits here until its script is written. Afterwards the shell is like one that has
# just started: this file uses only builtins, and leaves no variable.
printf theazo-waiting > /proc/self/comm # see titles.py
read -ru 3 REPLY || exit 0 # no longer needed
ulimit -u "$REPLY"
{ echo 500 > /proc/self/oom_score_adj; } 2> /dev/null # killed first when memory runs out; a container may forbid it
printf bash > /proc/self/comm
printf . >&4
exec 3<&- 4>&-
unset -v BASH_ENV REPLY
SECONDS=0
: /bin/bash
