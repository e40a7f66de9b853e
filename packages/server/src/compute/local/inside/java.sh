#!/bin/bash
# `java`, which takes the machine's memory for its own: it asks the kernel and reads no /proc/meminfo. A variable of the
# environment could tell it more, but then it says on standard error that it has read one, each time.
read -r _ kibibytes _ < /proc/meminfo
IFS=:
for folder in $PATH; do
  [[ $folder/java -ef $0 ]] || [[ ! -x $folder/java ]] || exec -a java "$folder/java" -XX:MaxRAM="${kibibytes}k" "$@"
done
echo 'java: command not found' >&2
exit 127
