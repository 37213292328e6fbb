"""The state of a fleet's VMs and vCPUs as columns: policies, filters, firmware registers and the rows made of them."""
