"""Tests of the deployments in prefect.yaml."""
