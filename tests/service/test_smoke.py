from support.world import World

def test_works(world: World) -> None:
    ana = world.person("ana")
    acme = world.organization(ana)
    assert ana.rpc("OrganizationService.GetOrganization", organization_id=acme.id) == acme
    bo = world.person("bo")
    no = bo.rpc.refusal("OrganizationService.GetOrganization", organization_id=acme.id)
    assert no.reason == "ORGANIZATION_NOT_ACCESSIBLE"
    assert world.breaches() == []
