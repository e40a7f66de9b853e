# Read by a bash that is started ahead, as its BASH_ENV: it waits here until the script it was started with is written.
# It leaves a shell as one that has just started: nothing but builtins, and no name of its own.
printf theazo-waiting > /proc/self/comm # see titles.py
read -ru 3 REPLY || exit 0 # it is not needed any more
ulimit -u "$REPLY"
{ echo 500 > /proc/self/oom_score_adj; } 2> /dev/null # goes first for memory; a container may have closed it
printf bash > /proc/self/comm
printf . >&4
exec 3<&- 4>&-
unset -v BASH_ENV REPLY
SECONDS=0
: /bin/bash
