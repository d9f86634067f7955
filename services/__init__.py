"""Headgate's services: the gateway, the control loop behind it, and what they share."""
