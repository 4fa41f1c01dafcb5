#!/bin/sh
# What ssh runs to ask for a password: SSHPASS holds the answer.
printf "%s\n" "$SSHPASS"
