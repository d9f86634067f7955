"""The whole product on one machine: a simulated provider, traffic, scenarios, and the development stack."""
