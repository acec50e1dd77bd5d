#!/bin/sh
# The rules of deploy/prometheus as PrometheusRules, for the Prometheus operator:
#   deploy/k8s/prometheus-rules.sh | kubectl apply -f -
# kustomize cannot put a file into a field, and a copy of the rules would be another truth.
set -eu
for file in "$(dirname "$0")"/../prometheus/*.rules.yml; do
  cat <<HEAD
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: lanjie-$(basename "$file" .rules.yml)
  namespace: lanjie
  labels:
    app.kubernetes.io/name: lanjie
spec:
HEAD
  sed 's/^/  /' "$file"
done
